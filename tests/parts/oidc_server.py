"""The provider's process: a Django site in memory. See `oidc.py`."""

import os
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.urls import include, path

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
)
PORT = int(os.environ["OIDC_PORT"])

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    AUTH_USER_MODEL="auth.User",
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{os.environ['OIDC_FOLDER']}/db.sqlite3"}
    },
    DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    INSTALLED_APPS=[
        "django.contrib.admin",
        "django.contrib.auth",
        "django.contrib.contenttypes",
        "django.contrib.sessions",
        "django.contrib.messages",
        "oauth2_provider",
    ],
    LOGIN_URL="/admin/login/",
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    OAUTH2_PROVIDER={
        "OIDC_ENABLED": True,
        "OIDC_RSA_PRIVATE_KEY": KEY.decode(),
        "OAUTH2_VALIDATOR_CLASS": "parts.oidc_server.Validator",
        "PKCE_REQUIRED": True,
        "SCOPES": {"openid": "sign in", "email": "address", "profile": "name"},
    },
    ROOT_URLCONF="parts.oidc_server",
    SECRET_KEY=os.urandom(16).hex(),
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                ]
            },
        }
    ],
    USE_TZ=True,
)

# Django and the toolkit import this module by its name: there must be one of it.
sys.modules["parts.oidc_server"] = sys.modules[__name__]
django.setup()

from django.contrib import admin  # noqa: E402 - Django's parts exist only now
from django.core.management import call_command  # noqa: E402
from oauth2_provider.oauth2_validators import OAuth2Validator  # noqa: E402

urlpatterns = [
    path("admin/", admin.site.urls),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]


class Validator(OAuth2Validator):
    """Puts the address into the ID token."""

    oidc_claim_scope = OAuth2Validator.oidc_claim_scope

    def get_additional_claims(self, request):
        """What the provider knows of its users."""
        return {"email": request.user.email, "email_verified": request.user.is_superuser}


class Quiet(WSGIRequestHandler):
    """Logs nothing."""

    def log_message(self, *_args):
        """Nobody reads it."""


def main():
    """Make the users and the client, and serve until killed."""
    from django.contrib.auth.models import User
    from django.core.wsgi import get_wsgi_application
    from oauth2_provider.models import Application
    from parts.oidc import CLIENT_ID, CLIENT_SECRET, PASSWORD

    call_command("migrate", verbosity=0)
    User.objects.create_superuser("cy", "cy@firm.test", PASSWORD)
    User.objects.create_user("un", "un@firm.test", PASSWORD, is_staff=True)
    Application.objects.create(
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
        redirect_uris=os.environ["OIDC_REDIRECT"],
        algorithm=Application.RS256_ALGORITHM,
        skip_authorization=True,
    )
    make_server("127.0.0.1", PORT, get_wsgi_application(), handler_class=Quiet).serve_forever()


if __name__ == "__main__":
    main()
