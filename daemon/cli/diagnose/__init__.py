"""Commands that find out what is wrong: with a configuration, a machine, a drop."""
