"""What a device knows of itself: its link."""
