"""`pinhole watch`: a terminal viewer on stock aiortc, the independent check of our own peer."""
