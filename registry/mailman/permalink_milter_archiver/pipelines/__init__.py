"""Mailman looks for pipelines here."""
