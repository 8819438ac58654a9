"""Makes HyperKitty's database, and tells it the host name of its own URLs."""

import django
from django.conf import settings
from django.core.management import call_command

django.setup()
call_command("migrate", verbosity=0)

from django.contrib.sites.models import Site  # noqa: E402
from django_mailman3.models import MailDomain  # noqa: E402

site, _ = Site.objects.update_or_create(id=settings.SITE_ID, defaults={"domain": settings.HYPERKITTY["site"]})
MailDomain.objects.update_or_create(mail_domain=settings.HYPERKITTY["domain"], defaults={"site": site})
