"""From analyses to a plan, from a plan to a master."""
