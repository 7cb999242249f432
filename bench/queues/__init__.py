"""Survivors that wait for company, against survivors that go on at once."""
