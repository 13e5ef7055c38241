"""The MQTT client: connects, subscribes, publishes within what the broker takes, and comes back."""
