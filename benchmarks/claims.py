"""What the measured tokens say, apart from their times and what tells them apart."""

ISSUER = "auth-server.com"
AUDIENCE = ["auth-server.com", "rest-server.com"]
ACCEPTED = "rest-server.com"
"""The audience that whoever verifies stands for."""
APPLICATION = {"role": "user", "name": "John"}
LIFETIME = 86_400
"""Seconds; longer than any run."""
