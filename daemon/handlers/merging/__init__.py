"""What the ``merge`` handler is made of."""
