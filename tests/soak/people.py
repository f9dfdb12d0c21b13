"""The accounts of the soak's users: callers take turns, so fifty people have to be fifty callers."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.soak.routes import PASSWORD
from tests.stack import Stack


def people(stack: Stack, users: int) -> list[dict[str, str]]:
    """Make a viewer and an analyst for each user, and sign them in."""
    admin, anybody = stack.person("admin"), stack.anonymous()

    def token(number: int, role: str) -> str:
        person = {"email": f"{role}{number}@soak.example.com", "password": PASSWORD}
        made = admin.post("/api/users", {**person, "name": f"{role} {number}", "role": role})
        assert made.status_code == 201, made.text
        return str(anybody.post("/api/auth/login", person).json()["data"]["token"])

    with ThreadPoolExecutor(4) as makers:
        return list(makers.map(lambda k: {role: token(k, role) for role in ("viewer", "analyst")}, range(users)))
