"""Models of every shape that a UID key can have."""

from __future__ import annotations

from django.db import models

from django_uidgen.fields import UidAutoField, UidField


class TagManager(models.Manager["Tag"]):
    """Finds a tag by its natural key."""

    def get_by_natural_key(self, name: str) -> Tag:
        return self.get(name=name)


class Tag(models.Model):
    """The far end of a ManyToManyField, with a natural key."""

    name = models.CharField(max_length=50, unique=True)

    objects = TagManager()

    def __str__(self) -> str:
        return self.name

    def natural_key(self) -> tuple[str]:
        return (self.name,)


class Order(models.Model):
    """Keyed by DEFAULT_AUTO_FIELD."""

    name = models.CharField(max_length=50)
    tags = models.ManyToManyField(Tag, blank=True)

    def __str__(self) -> str:
        return self.name


class OrderLine(models.Model):
    """A child of Order."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.product


class Receipt(models.Model):
    """One for each Order, with its key."""

    order = models.OneToOneField(Order, on_delete=models.CASCADE, primary_key=True)
    text = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.text


class GiftOrder(Order):
    """A child of Order by multi-table inheritance."""

    message = models.CharField(max_length=50)


class Event(models.Model):
    """Keyed by a UidField: the key is there before the object is saved."""

    id = UidField(primary_key=True)
    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class EventNote(models.Model):
    """A child of Event."""

    event = models.ForeignKey(Event, on_delete=models.CASCADE, related_name="notes")
    text = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.text


class LoudEvent(Event):
    """A child of Event by multi-table inheritance."""

    volume = models.IntegerField(default=11)


class Ticket(models.Model):
    """A UidField beside the key, of another generator."""

    id = models.BigAutoField(primary_key=True)
    number = UidField(unique=True, generator="orders")
    seat = models.CharField(max_length=50, unique=True)

    def __str__(self) -> str:
        return self.seat


class Invoice(models.Model):
    """A UidAutoField of another generator, set by hand."""

    id = UidAutoField(primary_key=True, generator="orders")
    ticket = models.ForeignKey(
        Ticket, on_delete=models.CASCADE, to_field="number", null=True
    )
    text = models.CharField(max_length=50, blank=True)

    def __str__(self) -> str:
        return str(self.pk)


class Box(models.Model):
    """An abstract parent that brings a key whose value is there at once."""

    id = UidField(primary_key=True)
    name = models.CharField(max_length=50)

    class Meta:
        """A table for each child."""

        abstract = True

    def __str__(self) -> str:
        return self.name


class Parcel(Box):
    """A child of Order and of Event, with relations to models of both fields."""

    order = models.ForeignKey(Order, on_delete=models.CASCADE, null=True, blank=True)
    event = models.ForeignKey(Event, on_delete=models.CASCADE, null=True, blank=True)
    seen_at = models.ManyToManyField(Event, blank=True, related_name="parcels_seen")
    barcode = UidField(unique=True, editable=True)
    returned_as = UidField(null=True, blank=True, editable=True)
    posted_at = models.DateTimeField(null=True, blank=True)


class Crate(Box):
    """Another child of the abstract parent."""


class Stamped(models.Model):
    """An abstract parent that brings a key which is None until saved."""

    id = UidAutoField(primary_key=True, generator="orders")

    class Meta:
        """A table for each child."""

        abstract = True


class Seal(Stamped):
    """One for each Parcel, beside a key of its own."""

    parcel = models.OneToOneField(Parcel, on_delete=models.CASCADE)

    def __str__(self) -> str:
        return str(self.pk)
