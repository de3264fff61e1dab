"""An application for `INSTALLED_APPS`: `python manage.py onserver VERB…`, and nothing else. No models, no settings."""
