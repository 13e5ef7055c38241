"""MQTT: the broker, the messages, the device's end of signaling."""
