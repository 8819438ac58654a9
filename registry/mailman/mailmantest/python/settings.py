"""Django's settings for a private HyperKitty."""

import json
import os

with open(os.environ["HYPERKITTY"], encoding="utf-8") as _file:
    HYPERKITTY = json.load(_file)

SECRET_KEY = HYPERKITTY["password"]
ALLOWED_HOSTS = ["127.0.0.1"]
SITE_ID = 1
ROOT_URLCONF = "urls"
MAILMAN_REST_API_URL = HYPERKITTY["rest"]
MAILMAN_REST_API_USER = HYPERKITTY["user"]
MAILMAN_REST_API_PASS = HYPERKITTY["password"]
MAILMAN_ARCHIVER_KEY = HYPERKITTY["password"]
MAILMAN_ARCHIVER_FROM = ["127.0.0.1"]
INSTALLED_APPS = [
    "hyperkitty",
    "django_mailman3",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.sites",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_gravatar",
    "compressor",
    "haystack",
    "django_q",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_mailman3.middleware.TimezoneMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.i18n",
                "django.template.context_processors.static",
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django_mailman3.context_processors.common",
                "hyperkitty.context_processors.common",
            ]
        },
    }
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(HYPERKITTY["dir"], "hyperkitty.db"),
        "OPTIONS": {"timeout": 30},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = True
STATIC_URL = "/static/"
STATIC_ROOT = os.path.join(HYPERKITTY["dir"], "static")
COMPRESS_ENABLED = False
COMPRESS_PRECOMPILERS = []
LOGIN_URL = "account_login"
HAYSTACK_CONNECTIONS = {"default": {"ENGINE": "haystack.backends.simple_backend.SimpleEngine"}}
# Tasks run within the request: no worker process is needed.
Q_CLUSTER = {"orm": "default", "sync": True, "timeout": 30, "retry": 60}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "INFO"},
}
