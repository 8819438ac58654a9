"""Mailman finds its pipelines here."""
