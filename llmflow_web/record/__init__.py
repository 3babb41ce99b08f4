"""What a call becomes: rows, prices, messages, live news."""
