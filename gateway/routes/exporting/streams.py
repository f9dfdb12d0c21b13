"""Streams of exports: the slots they take, and the answer whose body is read while it is sent.

Law: a stream is audited before its first byte, and never silently cut short. It ends with its reader's access. For a
HEAD nothing leaves and nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from flask import Response, request

from gateway.security.authentication import caller, current_user
from gateway.services.accounts import sessions
from gateway.services.customers.filtering import Pair
from gateway.services.exporting import exporting
from gateway.services.exporting.exporting import Export, Format
from gateway.services.jobs.params import Content
from gateway.web_environment import environment
from shared.clock import iso

STREAM: dict[Any, Any] = {
    "200": {
        "description": "The rows, streamed; `ETag` is the manifest's `etag`",
        "content": {kind: {"schema": {"type": "string"}} for kind in ("text/csv", "application/x-ndjson")},
    }
}


def opened(content: Content, form: Format, pairs: Sequence[Pair]) -> Export:
    """Begin an export; it holds one of the slots until it is closed."""
    env, who = environment(), caller()
    give_back = partial(env.export_slots.give_back, who.user.id)
    env.export_slots.take(who.user.id)
    try:
        export = Export(
            env.database,
            content,
            form,
            pairs,
            unsure_below=env.settings.confidence_threshold,
            time_limit_s=env.settings.export_stream_minutes * 60,
            may_read=lambda: sessions.is_let_in(env.database, who.user, who.key, iso(env.clock())),
        )
    except BaseException:
        give_back()
        raise
    export.on_close(give_back)
    return export


def streamed(
    content: Content,
    form: Format,
    pairs: Sequence[Pair],
    *,
    name: str | None = None,
    also_record: Callable[[], object] = lambda: None,
) -> Response:
    """Answer with the rows of an export, which is audited before its first byte leaves.

    Parameters
    ----------
    name
        Name of the file, without its ending; the content if absent.
    also_record
        Called once the rows will leave: there is room for the export and it is audited. If it fails, nothing leaves.
    """
    env = environment()
    export = opened(content, form, pairs)
    try:
        if request.method == "HEAD":
            export.close()  # headers alone: no row leaves
        else:
            exporting.record_export(
                env.database,
                content=content,
                form=form,
                pairs=export.pairs,
                at=iso(env.clock()),
                actor=current_user().actor,
            )
            also_record()
    except BaseException:
        export.close()
        raise
    response = Response(export, content_type=exporting.CONTENT_TYPES[form])
    response.set_etag(export.etag)
    response.headers["Content-Disposition"] = f'attachment; filename="{name or content}.{form}"'
    response.headers["Cache-Control"] = "no-store"
    return response
