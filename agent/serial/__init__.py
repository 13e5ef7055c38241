"""What hangs on serial wires: modem, PTZ head, receiver of positions."""
