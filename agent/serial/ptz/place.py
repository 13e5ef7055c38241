"""At which preset a head is, by what it was told last. Pure."""

from agent.serial.ptz.motion import ForgetPreset, GoPreset, KeepPreset, Order


def bound_for(order: Order, before: int | None) -> int | None:
    """The preset at which it is once this is done, of one that was at, or bound for, another."""
    match order:
        case GoPreset(number) | KeepPreset(number):
            return number
        case ForgetPreset(number):
            return None if number == before else before
        case _:
            return None
