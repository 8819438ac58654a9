"""Mailman looks for handlers here."""
