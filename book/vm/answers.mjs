// Whoever waits for a file and is killed takes the question back, with a flush (9p). v86 says at once
// that it is taken back, and answers the question later all the same, into memory that the machine's
// kernel has given to others by then. So a flush waits here for the question's answer.
const FLUSH = 108;

// Sees to it in a machine that starts, before it runs.
export function inOrder(vm) {
    const { virtqueue } = vm.v86.cpu.devices.virtio_9p;
    if (Object.hasOwn(virtqueue, "pop_request")) {
        return;
    }
    const [pop, push] = [virtqueue.pop_request.bind(virtqueue), virtqueue.push_reply.bind(virtqueue)];
    // The flushes that wait for the question with this tag.
    const asked = new Map();
    virtqueue.pop_request = () => {
        const request = pop();
        const [{ addr_low, len }] = request.read_buffers;
        const { type, tag, flushes } = head(request.cpu.read_blob(addr_low, Math.min(len, 9)));
        Object.assign(request, { tag, flushes });
        if (type !== FLUSH) {
            asked.set(tag, []);
        }
        return request;
    };
    virtqueue.push_reply = (request) => {
        const waiting = asked.get(request.flushes);
        if (waiting) {
            waiting.push(request);
            return;
        }
        push(request);
        const flushes = asked.get(request.tag) ?? [];
        asked.delete(request.tag);
        flushes.forEach(push);
    };
}

// A message begins with its size, type and tag; a flush goes on with the tag of what it takes back.
function head(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const type = view.getUint8(4);
    const flushes = type === FLUSH ? view.getUint16(7, true) : undefined;
    return { type, tag: view.getUint16(5, true), flushes };
}
