"""What an operator and a drop may set, and how it is read."""
