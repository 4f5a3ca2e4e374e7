"""The timer wheel: which entries of a slab are due, in constant time per entry.

Only the order of time belongs here: no Python object, no clock, no lock, and no knowledge of what
an entry holds.

Theory: Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (SOSP 1987), scheme 7. Time is
counted in ticks of 1 ms. Seven levels of 64 slots each: a slot of level n spans 64**n ticks, so the
wheel reaches 2**42 ms = 139 years ahead. An entry lies at the level of the highest six-bit digit in
which its tick differs from the wheel's current one, in the slot which that digit names. So, below
the top level, occupied slots always lie ahead of the current digit, the lowest occupied level holds
what comes first, and one bitmap per level finds it. When the hand reaches a slot above level 0, its
entries are *cascaded*, each to where it then belongs: at most seven times in its life.

Rules that hold between calls:
- An entry lies in a slot that the hand reaches no later than the entry's own tick. Being early is
  harmless: the caller compares the exact expiry, in seconds, and schedules again what is not due.
- A live entry's tick is later than the clock's, and an expired one's is at most one later:
  ``floor(expires) + 1``.
- The hand never passes an entry, and never moves back. Where the clock does, ``offset`` makes up
  the difference.
- Work is done in steps, one entry each, within a budget. An unfinished cascade is remembered, and
  continued first.
- An entry beyond reach waits in the furthest slot and is placed anew when that comes round.

Use: ``target = wheel_observe(wheel, now)`` at the start of an operation that changes anything; then
``wheel_next_due`` until it answers ``SLAB_NONE``, each time either releasing the entry or giving it
back to ``wheel_schedule``. A reader first asks ``wheel_idle``, which is one comparison. Expiries
are finite and within 1e11 seconds, or infinite for never.
"""

from libc.math cimport INFINITY, floor
from libc.stdint cimport int64_t, uint32_t, uint64_t

from table.bits cimport bits_highest, bits_lowest
from table.slab cimport SLAB_NONE, slab, slab_at, slab_entry, slab_link


cdef extern from *:
    """
    #define WHEEL_HEAD ((uint32_t)0x80000000u)
    """
    uint32_t WHEEL_HEAD   # set in a link that leads to the head of a slot instead of to an entry


cdef enum:
    DIGIT = 6               # bits
    SLOTS = 1 << 6
    LEVELS = 7
    TOP = LEVELS - 1
    TOP_SHIFT = DIGIT * TOP


cdef struct timer_wheel:
    int64_t current         # the hand: all before it has been handed out
    int64_t offset          # ticks by which the wheel is ahead of the clock
    double next_due         # by the clock, in seconds: until then nothing comes up
    uint32_t count          # entries linked
    uint32_t cascading      # the slot whose cascade is unfinished, or SLAB_NONE
    uint64_t occupied[LEVELS]
    slab_link slots[LEVELS * SLOTS]


cdef struct wheel_round:
    uint32_t slot
    uint32_t left           # entries yet to be handed out


cdef inline void wheel_init(timer_wheel *self) noexcept nogil:
    cdef uint32_t slot
    self.current = 0
    self.offset = 0
    self.next_due = INFINITY
    self.count = 0
    self.cascading = SLAB_NONE
    for slot in range(LEVELS):
        self.occupied[slot] = 0
    for slot in range(LEVELS * SLOTS):
        self.slots[slot].next = self.slots[slot].prev = WHEEL_HEAD | slot


cdef inline bint wheel_idle(const timer_wheel *self, double now) noexcept nogil:
    """Return whether nothing can be due."""
    return now < self.next_due


cdef inline bint wheel_linked(const slab_entry *entry) noexcept nogil:
    """Return whether the wheel holds the entry, as it does all but those that never expire."""
    return entry.link.prev != SLAB_NONE


cdef inline int64_t wheel_observe(timer_wheel *self, double now) noexcept nogil:
    """Take note of the clock. Return the tick up to which entries are due."""
    cdef int64_t clock = <int64_t>floor(now * 1000.0)
    cdef int64_t target = clock + self.offset
    if target < self.current:
        # Digits alone matter, so whole turns of the wheel are dropped: no number of jumps can make
        # a tick overflow.
        self.current &= (<int64_t>1 << (DIGIT * LEVELS)) - 1
        target = self.current
        self.offset = self.current - clock
        self.next_due = now
    elif self.count == 0:
        self.current = target
    return target


cdef inline slab_link *_wheel_link(
    timer_wheel *self, const slab *entries, uint32_t place
) noexcept nogil:
    return &self.slots[place & ~WHEEL_HEAD] if place & WHEEL_HEAD else &slab_at(entries, place).link


cdef inline void wheel_cancel(
    timer_wheel *self, const slab *entries, uint32_t handle
) noexcept nogil:
    """Take the entry off the wheel, where it is on it."""
    cdef slab_link *link = &slab_at(entries, handle).link
    cdef uint32_t slot
    if link.prev == SLAB_NONE:
        return
    _wheel_link(self, entries, link.prev).next = link.next
    _wheel_link(self, entries, link.next).prev = link.prev
    if link.next == link.prev and link.next & WHEEL_HEAD:
        slot = link.next & ~WHEEL_HEAD
        self.occupied[slot >> DIGIT] &= ~(<uint64_t>1 << (slot & (SLOTS - 1)))
    link.next = link.prev = SLAB_NONE
    self.count -= 1


cdef inline void _wheel_place(
    timer_wheel *self, const slab *entries, uint32_t handle, int64_t tick
) noexcept nogil:
    """Append the entry to the slot where a tick, not before the current one, belongs."""
    cdef slab_link *link = &slab_at(entries, handle).link
    cdef int64_t furthest = self.current + (<int64_t>(SLOTS - 1) << TOP_SHIFT)
    cdef uint64_t difference
    cdef uint32_t level, slot, last
    if tick > furthest:
        tick = furthest
    difference = <uint64_t>(tick ^ self.current)
    level = 0 if difference < SLOTS else <uint32_t>bits_highest(difference) // DIGIT
    if level > TOP:
        level = TOP
    slot = <uint32_t>(tick >> (level * DIGIT)) & (SLOTS - 1)
    self.occupied[level] |= <uint64_t>1 << slot
    slot += level * SLOTS
    last = self.slots[slot].prev
    link.next = WHEEL_HEAD | slot
    link.prev = last
    _wheel_link(self, entries, last).next = handle
    self.slots[slot].prev = handle
    self.count += 1


cdef inline int64_t _wheel_tick(const timer_wheel *self, double expires) noexcept nogil:
    cdef int64_t tick = <int64_t>floor(expires * 1000.0) + 1 + self.offset
    return tick if tick > self.current else self.current


cdef inline void wheel_schedule(
    timer_wheel *self, const slab *entries, uint32_t handle
) noexcept nogil:
    """Put an entry that is not on the wheel where its ``expires`` belongs.

    One that never expires goes nowhere.
    """
    cdef double expires = slab_at(entries, handle).expires
    cdef int64_t tick
    cdef double due
    if expires == INFINITY:
        return
    tick = _wheel_tick(self, expires)
    _wheel_place(self, entries, handle, tick)
    due = <double>(tick - self.offset) / 1000.0
    if due < self.next_due:
        self.next_due = due


cdef inline uint32_t _wheel_first_slot(const timer_wheel *self, int64_t *tick) noexcept nogil:
    """Return the occupied slot that comes first, or SLAB_NONE, and write its tick.

    No cascade may be unfinished.
    """
    cdef uint64_t bits
    cdef uint32_t level, digit, start
    cdef int shift
    for level in range(TOP):
        bits = self.occupied[level]
        if bits:
            digit = <uint32_t>bits_lowest(bits)
            shift = DIGIT * level
            tick[0] = self.current >> (shift + DIGIT) << (shift + DIGIT)
            tick[0] |= <int64_t>digit << shift
            return level * SLOTS + digit
    bits = self.occupied[TOP]
    if bits == 0:
        return SLAB_NONE
    # The top level is a ring: the slot after the current one comes first, the current one itself is
    # never occupied.
    start = (<uint32_t>(self.current >> TOP_SHIFT) + 1) & (SLOTS - 1)
    bits = (bits >> start) | (bits << ((SLOTS - start) & (SLOTS - 1)))
    digit = <uint32_t>bits_lowest(bits)
    tick[0] = ((self.current >> TOP_SHIFT) + 1 + digit) << TOP_SHIFT
    return TOP * SLOTS + ((start + digit) & (SLOTS - 1))


cdef inline uint32_t wheel_next_due(
    timer_wheel *self, const slab *entries, int64_t target, int *budget
) noexcept nogil:
    """Take the next entry whose tick has come off the wheel, and return it.

    Return SLAB_NONE when there is none or the budget is spent.
    """
    cdef uint32_t slot, handle
    cdef int64_t tick = 0
    while True:
        if self.cascading == SLAB_NONE:
            slot = _wheel_first_slot(self, &tick)
            if slot == SLAB_NONE or tick > target:
                if target > self.current:
                    self.current = target
                self.next_due = INFINITY
                if slot != SLAB_NONE:
                    self.next_due = <double>(tick - self.offset) / 1000.0
                return SLAB_NONE
            self.current = tick
            if slot >= SLOTS:
                self.cascading = slot
            elif budget[0] > 0:
                budget[0] -= 1
                handle = self.slots[slot].next
                wheel_cancel(self, entries, handle)
                return handle
            else:
                break
        while not self.slots[self.cascading].next & WHEEL_HEAD:
            if budget[0] <= 0:
                self.next_due = <double>(self.current - self.offset) / 1000.0
                return SLAB_NONE
            budget[0] -= 1
            handle = self.slots[self.cascading].next
            wheel_cancel(self, entries, handle)
            _wheel_place(self, entries, handle, _wheel_tick(self, slab_at(entries, handle).expires))
        self.cascading = SLAB_NONE
    self.next_due = <double>(self.current - self.offset) / 1000.0
    return SLAB_NONE


cdef inline void wheel_begin_round(
    const timer_wheel *self, const slab *entries, wheel_round *round
) noexcept nogil:
    """Begin a round through the one slot with entries that end within the tick now running.

    Only after ``wheel_next_due`` has found all there was.
    """
    cdef uint32_t place
    cdef int64_t tick = 0
    round.left = 0
    round.slot = _wheel_first_slot(self, &tick)
    if round.slot == SLAB_NONE or tick > self.current + 1:
        return
    place = self.slots[round.slot].next
    while not place & WHEEL_HEAD:
        round.left += 1
        place = slab_at(entries, place).link.next


cdef inline uint32_t wheel_next_in_round(
    timer_wheel *self, const slab *entries, wheel_round *round
) noexcept nogil:
    """Take the next entry of the round off the wheel, expired or not, and return it.

    Return SLAB_NONE after the last. What is scheduled again comes behind it.
    """
    cdef uint32_t handle
    if round.left == 0:
        return SLAB_NONE
    handle = self.slots[round.slot].next
    if handle & WHEEL_HEAD:
        return SLAB_NONE
    round.left -= 1
    wheel_cancel(self, entries, handle)
    return handle


cdef inline const char *_wheel_check_slot(
    const timer_wheel *self, const slab *entries, uint32_t slot, uint32_t *count
) noexcept nogil:
    cdef uint32_t level = slot // SLOTS, digit = slot % SLOTS
    cdef uint32_t place = self.slots[slot].next, before = WHEEL_HEAD | slot
    cdef uint32_t now_digit = <uint32_t>(self.current >> (DIGIT * level)) & (SLOTS - 1)
    cdef bint behind
    cdef int64_t turn = <int64_t>1 << (DIGIT * (level + 1))
    cdef int64_t start = (self.current & ~(turn - 1)) + (<int64_t>digit << (DIGIT * level))
    if (place & WHEEL_HEAD == 0) != (self.occupied[level] >> digit & 1):
        return b"a bitmap is wrong about whether a slot is occupied"
    if place & WHEEL_HEAD:
        if place != before or self.slots[slot].prev != before:
            return b"an empty slot does not lead back to itself"
        return NULL
    if level == TOP and digit < now_digit:
        start += turn
    if level == 0:
        behind = digit < now_digit
    elif level == TOP:
        behind = digit == now_digit
    else:
        behind = digit <= now_digit
    if behind and slot != self.cascading:
        return b"an occupied slot lies behind the hand"
    while not place & WHEEL_HEAD:
        if slab_at(entries, place).link.prev != before:
            return b"an entry on the wheel does not lead back to the one before it"
        if start > _wheel_tick(self, slab_at(entries, place).expires):
            return b"an entry lies in too late a slot"
        count[0] += 1
        if count[0] > self.count:
            return b"the wheel links more entries than it counts"
        before = place
        place = slab_at(entries, place).link.next
    if place != WHEEL_HEAD | slot or self.slots[slot].prev != before:
        return b"a slot's list ends elsewhere than at its head"
    return NULL


cdef inline const char *wheel_check(const timer_wheel *self, const slab *entries) noexcept nogil:
    """Return what is wrong as a sentence, for tests; NULL where every invariant holds."""
    cdef uint32_t slot, count = 0
    cdef const char *broken
    for slot in range(LEVELS * SLOTS):
        broken = _wheel_check_slot(self, entries, slot, &count)
        if broken != NULL:
            return broken
    if count != self.count:
        return b"the wheel has miscounted its entries"
    if self.current < 0:
        return b"the hand is before the beginning of time"
    return NULL
