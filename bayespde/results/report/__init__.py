"""What a discovery found -> one HTML page that needs nothing else to be read."""
