// The machine's hardware, for Node and for the page: a state fits a machine with the same options
// only.
export default {
    memory_size: 96 << 20,
    vga_memory_size: 2 << 20,
    virtio_console: true,
    disable_keyboard: true,
    disable_mouse: true,
    disable_speaker: true,
    autostart: true,
    // What the machine does not have in its memory.
    filesystem: { baseurl: new URL("files/", import.meta.url).href },
};
