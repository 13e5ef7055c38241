"""H.264 as it travels: parsing, packetization, fan-out."""
