"""The bare programs that zchat is compared with."""
