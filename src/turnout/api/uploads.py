"""Uploads: a manifest in, what is missing of it out; then segments; then the release is whole."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request

from turnout.api import bodies, params
from turnout.api.contract import binary_body, problems_of
from turnout.api.house import House, Rooms
from turnout.base.errors import InvalidInput, Untrusted
from turnout.packages.manifest import Manifest, parse
from turnout.wire.api import ReleaseDocument, SegmentStored, UploadOpened

router = APIRouter(prefix="/projects/{project}/uploads", tags=["releases"])

_segment_type = Depends(bodies.of_type(bodies.SEGMENT_TYPE, bodies.BINARY_TYPE))
_segment: dict[str, Any] = {
    "summary": "Send a segment",
    "dependencies": [_segment_type],
    "responses": problems_of(404, 408, 409, 413, 415, 507),
    "openapi_extra": binary_body(bodies.SEGMENT_TYPE, bodies.BINARY_TYPE),
}


@router.post(
    "",
    operation_id="open_upload",
    summary="Announce a release",
    dependencies=[params.idempotent, Depends(bodies.of_type(bodies.MANIFEST_TYPE))],
    responses=problems_of(408, 409, 413, 415, 507),
    openapi_extra=binary_body(bodies.MANIFEST_TYPE),
)
async def open_upload(project: params.Project, request: Request, rooms: Rooms) -> UploadOpened:
    """Take a canonical manifest; answer with the release it is and the digests that are missing.

    Opening again after an interruption names only what is still missing.
    """
    data = await request.body()
    async with rooms.heavy:
        return await asyncio.to_thread(_open, rooms, project, data)


@router.post(
    "/{release}/segments",
    operation_id="send_segment",
    **{**_segment, "dependencies": [params.idempotent, _segment_type]},
)
@router.put("/{release}/segments", operation_id="put_segment", **_segment)
async def send_segment(
    project: params.Project, release: params.Release, request: Request, rooms: Rooms
) -> SegmentStored:
    """Take one encoded segment of missing files; sending it twice does no harm."""
    await asyncio.to_thread(rooms.manifests.require, project, release)
    data = await request.body()
    try:
        async with rooms.heavy:
            blobs = await asyncio.to_thread(rooms.store.add_segment, project, data)
    except Untrusted as error:
        # Not our store is damaged here but what was sent, so it is the sender's to mend.
        raise InvalidInput(
            "The segment is not what it says",
            subject=error.subject,
            why=error.why or error.what,
            next_step="Send it again; if that does not help, package the project again.",
        ) from error
    return SegmentStored(blobs=blobs, bytes=len(data))


@router.post(
    "/{release}/commit",
    operation_id="commit_upload",
    summary="Complete a release",
    dependencies=[params.idempotent],
    responses=problems_of(404, 409, 507),
)
async def commit_upload(
    project: params.Project,
    release: params.Release,
    rooms: Rooms,
    message: Annotated[
        str,
        Query(
            max_length=2000,
            pattern=r"^[^\x00]*$",
            description="What its maker says of the release.",
        ),
    ] = "",
) -> ReleaseDocument:
    """Check that all of a release is there, and enter it; a problem says so if it is not."""
    async with rooms.heavy:
        return await asyncio.to_thread(_commit, rooms, project, release, message)


def _open(rooms: House, project: str, data: bytes) -> UploadOpened:
    manifest = parse(data)
    release = manifest.release
    # One that is committed may lack files all the same: what was found damaged was dropped.
    if rooms.store.has(project, release) and not rooms.store.lacks(project, manifest):
        _enter(rooms, project, manifest, "")
        return UploadOpened(release=release, missing=(), complete=True)
    missing = tuple(rooms.store.missing(project, manifest))
    held = rooms.store.held_parts(project, manifest)
    rooms.manifests.keep(project, manifest)
    return UploadOpened(
        release=release,
        missing=missing,
        held_parts={digest: tuple(parts) for digest, parts in held.items()},
        complete=False,
    )


def _commit(rooms: House, project: str, release: str, message: str) -> ReleaseDocument:
    known = rooms.store.has(project, release) and rooms.catalogue.has(project, release)
    if not known or rooms.manifests.holds(project, release):
        manifest = rooms.manifests.get(project, release)
        rooms.store.commit(project, manifest)
        _enter(rooms, project, manifest, message)
    rooms.manifests.forget(project, release)
    facts = rooms.catalogue.get(project, release)
    return ReleaseDocument(**facts.__dict__)


def _enter(rooms: House, project: str, manifest: Manifest, message: str) -> None:
    # Also at an opening: a crash between the store's commit and this one leaves a release that
    # is whole but in no list.
    rooms.catalogue.add(
        project, manifest.release, files=manifest.files, size=manifest.bytes, message=message
    )
