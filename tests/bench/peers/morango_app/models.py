"""One model with five columns, as the register of the other side has."""

import uuid

from django.db import models
from morango.models.core import SyncableModel

PROFILE = "bench"
PARTITION = "one"


class Item(SyncableModel):
    """A row; no foreign key, so that Morango has none to check."""

    morango_profile = PROFILE
    morango_model_name = "item"
    record = models.CharField(max_length=36)
    name = models.CharField(max_length=40)
    place = models.CharField(max_length=12)
    amount = models.IntegerField()
    day = models.CharField(max_length=10)

    def calculate_source_id(self, *args, **kwargs):
        """Random, as Morango recommends."""
        return uuid.uuid4().hex

    def calculate_partition(self, *args, **kwargs):
        """One for all rows."""
        return PARTITION
