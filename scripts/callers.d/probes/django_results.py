"""Settings of Django's own tests: SQLite in memory, and a runner that writes each outcome as unittest_results.py does."""
from django.test.runner import DiscoverRunner
from unittest_results import Results

DATABASES = {name: {"ENGINE": "django.db.backends.sqlite3"} for name in ("default", "other")}
SECRET_KEY = "only for tests"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
USE_TZ = False
TEST_RUNNER = "django_results.Runner"


class Runner(DiscoverRunner):
    """Django's runner with a result of ours."""

    def get_resultclass(self):
        return Results

    def run_suite(self, suite, **kwargs):
        with open("results", "a", encoding="utf-8", errors="backslashreplace") as Results.file:
            result = super().run_suite(suite, **kwargs)
            Results.file.write("all modules\tended\n")
        return result
