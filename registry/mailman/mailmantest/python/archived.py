"""Prints every message that HyperKitty keeps, a JSON object a line."""

import json

import django

django.setup()

from hyperkitty.models import Email  # noqa: E402

for found in Email.objects.values("mailinglist__name", "message_id", "message_id_hash"):
    print(
        json.dumps(
            {
                "list": found["mailinglist__name"],
                "message_id": found["message_id"],
                "message_id_hash": found["message_id_hash"],
            }
        )
    )
