"""What zchat costs, measured beside the floors that it stands on."""
