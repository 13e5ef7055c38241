// Notes what a viewer sees: each picture's time and stamp, the statistics, and now and then a picture's luma.
async ({ statsEveryMs, shotEveryMs }) => {
  const { decodeBits, nowMs, CELLS } = await import(new URL("stamp.js", document.querySelector("script[type=module]").src));
  const video = document.querySelector("video");
  const bench = (window.bench = { startMs: nowMs(), frames: [], stats: [], shots: [] });
  let busy = false;
  let shotAt = nowMs() + shotEveryMs;

  const luma = async (frame, rect) => {
    const data = new Uint8Array(frame.allocationSize({ rect }));
    const [layout] = await frame.copyTo(data, { rect });
    const rows = [];
    for (let row = 0; row < rect.height; row += 1) {
      rows.push(data.subarray(layout.offset + row * layout.stride, layout.offset + row * layout.stride + rect.width));
    }
    return rows;
  };

  const read = async (now) => {
    const frame = new VideoFrame(video);
    try {
      const { width, height } = frame.visibleRect;
      const cell = (Math.floor(1280 / CELLS) * width) / 1280; // of the source, whatever the sender made of it
      const row = (Math.max(2, Math.floor(height / 45)) >> 1) & ~1;
      const [line] = await luma(frame, { x: 0, y: row, width, height: 2 });
      const stamp = decodeBits(Array.from({ length: CELLS }, (_, i) => line[Math.floor((i + 0.5) * cell)] > 127));
      bench.frames.push([now, stamp]);
      if (stamp !== null && now >= shotAt) {
        shotAt = now + shotEveryMs;
        bench.shots.push({ now, stamp, width, height, rows: await luma(frame, { x: 0, y: 0, width, height }) });
      }
    } finally {
      frame.close();
    }
  };

  const onFrame = () => {
    video.requestVideoFrameCallback(onFrame);
    const now = nowMs();
    if (busy) bench.frames.push([now, null]);
    else {
      busy = true;
      read(now).finally(() => { busy = false; });
    }
  };
  video.requestVideoFrameCallback(onFrame);

  const wanted = [
    "bytesReceived", "headerBytesReceived", "packetsReceived", "packetsLost", "retransmittedBytesReceived",
    "fecBytesReceived", "fecPacketsReceived", "fecPacketsDiscarded", "retransmittedPacketsReceived",
    "freezeCount", "totalFreezesDuration", "framesDecoded", "framesDropped", "keyFramesDecoded", "nackCount", "pliCount",
    "jitterBufferDelay", "jitterBufferEmittedCount", "frameWidth", "frameHeight",
  ];
  // Where the dashboard begins a new session after an outage, the counters go on.
  const state = ["frameWidth", "frameHeight"];
  let pc = probe.peers.at(-1);
  let before = {};
  let last = {};
  const note = async () => {
    if (pc !== probe.peers.at(-1)) {
      pc = probe.peers.at(-1);
      before = last;
    }
    const report = await pc.getStats();
    const one = [...report.values()].find((s) => s.type === "inbound-rtp" && s.kind === "video") ?? {};
    const sum = (key) => [key, (one[key] ?? 0) + (state.includes(key) ? 0 : (before[key] ?? 0))];
    last = Object.fromEntries(wanted.map(sum));
    bench.stats.push({ now: nowMs(), ...last });
  };
  setInterval(note, statsEveryMs);

  window.takeShot = () => {
    const shot = bench.shots.shift();
    if (!shot) return null;
    let text = "";
    for (const row of shot.rows) text += String.fromCharCode(...row);
    return { ...shot, rows: undefined, luma: btoa(text) };
  };
}
