"""What Django asks of an application."""

from django.apps import AppConfig


class OnServer(AppConfig):
    """`"onserver.django_app"` in `INSTALLED_APPS`."""

    name = "onserver.django_app"
    label = "onserver"
    verbose_name = "onserver"
