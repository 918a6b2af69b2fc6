"""What can be known to be wrong before money is spent."""
