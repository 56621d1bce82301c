"""Views that mint ``?count=n`` UIDs, in each of the ways that there are."""

from __future__ import annotations

import os
import time

from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from django_uidgen import auid, auids, uid, uids


@csrf_exempt
def uids_at_once(request: HttpRequest) -> JsonResponse:
    """Mint all in one call."""
    return _answer(uids(_count(request)))


def uids_one_by_one(request: HttpRequest) -> JsonResponse:
    """Mint on the hot path."""
    return _answer([uid() for _ in range(_count(request))])


def mixed_uids(request: HttpRequest) -> JsonResponse:
    """Mint in turns with other threads, or other greenlets."""
    minted: list[int] = []
    while len(minted) < _count(request):
        minted.append(uid())
        time.sleep(0)
        minted += uids(3)
        time.sleep(0)
    return _answer(minted)


async def uids_awaited(request: HttpRequest) -> JsonResponse:
    """Mint on the event loop, in each of the ways."""
    minted: list[int] = []
    while len(minted) < _count(request):
        minted.append(await auid())
        minted.append(uid())
        minted += await auids(3)
    return _answer(minted)


def _count(request: HttpRequest) -> int:
    return int(request.GET["count"])


def _answer(minted: list[int]) -> JsonResponse:
    return JsonResponse({"pid": os.getpid(), "uids": [str(uid) for uid in minted]})
