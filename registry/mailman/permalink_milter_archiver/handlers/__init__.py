"""Mailman finds its handlers here."""
