"""Settings of the project. Its database comes from the environment."""

from __future__ import annotations

import json
import os

ALLOWED_HOSTS = ["*"]
DATABASES = {"default": json.loads(os.environ["SHOP_DATABASE"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "tokenwheel.django"]
ROOT_URLCONF = "tests.django_app.shop.urls"
SECRET_KEY = "of the shop"
USE_TZ = True
