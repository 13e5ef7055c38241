"""Signaling over MQTT: the messages, who signed them, and both ends, the device's and the portal's."""
