"""A client of the portal's API: its session, the fleet, commands, and a viewer that checks our own peer."""
