/** An id as the hub makes it: a random epoch and a sequence. Nobody else's ids look like this by accident. */
const HUB_ID = /^([0-9a-z]{12})-(\d{1,19})$/;

/**
 * Whether the event with `id` was delivered already, given the last one that was. Known only of ids that a hub made
 * in one and the same epoch; of any other the answer is no, because dropping it could lose it.
 */
export function isRepeat(id: string, last: string): boolean {
  const [, epoch, sequence = 0] = HUB_ID.exec(id) ?? [];
  const [, lastEpoch, lastSequence = 0] = HUB_ID.exec(last) ?? [];
  return !!epoch && epoch === lastEpoch && BigInt(sequence) <= BigInt(lastSequence);
}
