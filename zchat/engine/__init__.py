"""What serves the broker's loop: batches, timers, queues, sockets."""
