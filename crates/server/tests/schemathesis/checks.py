"""What Schemathesis cannot know of a server with tenants: nothing that stands in another one may come back."""

import schemathesis
from world import MARK


@schemathesis.check
def nothing_of_another_tenant(ctx, response, case) -> None:
    """MARK is in no request, so that it cannot be an echo."""
    if MARK in response.text or MARK in str(response.headers):
        raise AssertionError(f"{case.method} {case.path} answered with what is another tenant's")
