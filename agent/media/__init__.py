"""Pictures as they travel: streams and their readers, packetization."""
