// What RTCPeerConnection.getStats() says (W3C webrtc-stats), as the few figures that people ask for.

const share = (part, whole) => (whole > 0 ? Math.max(0, part) / whole : 0);

/** Summarises reports; rates are taken between two calls. */
export class StatsReader {
  #last = null;

  /**
   * @param {RTCStatsReport} report
   * @returns {object} path (host, srflx, relay), protocol, rttMs, bitrateBps, loss (0 to 1), fps, width, height,
   *   freezes, framesDecoded, framesDropped, jitterBufferMs, decoder; undefined where unknown.
   */
  summarize(report) {
    const all = [...report.values()];
    const video = all.find((s) => s.type === "inbound-rtp" && s.kind === "video");
    const summary = { ...pathOf(report, all) };
    if (video) Object.assign(summary, this.#videoOf(video));
    return summary;
  }

  #videoOf(video) {
    const last = this.#last ?? { ...video, timestamp: Infinity };
    this.#last = video;
    const seconds = (video.timestamp - last.timestamp) / 1000;
    const lost = video.packetsLost - last.packetsLost;
    const received = video.packetsReceived - last.packetsReceived;
    const emitted = (video.jitterBufferEmittedCount ?? 0) - (last.jitterBufferEmittedCount ?? 0);
    const buffered = (video.jitterBufferDelay ?? 0) - (last.jitterBufferDelay ?? 0);
    return {
      bitrateBps: seconds > 0 ? ((video.bytesReceived - last.bytesReceived) * 8) / seconds : undefined,
      loss: share(lost, received + lost),
      fps: video.framesPerSecond,
      width: video.frameWidth,
      height: video.frameHeight,
      framesDecoded: video.framesDecoded ?? 0,
      framesDropped: video.framesDropped ?? 0,
      freezes: video.freezeCount ?? 0,
      jitterBufferMs: emitted > 0 ? (buffered / emitted) * 1000 : undefined,
      decoder: video.decoderImplementation,
    };
  }
}

function pathOf(report, all) {
  const transport = all.find((s) => s.type === "transport" && s.selectedCandidatePairId);
  const pair = transport
    ? report.get(transport.selectedCandidatePairId)
    : all.find((s) => s.type === "candidate-pair" && s.nominated && s.state === "succeeded");
  if (!pair) return {};
  const ends = [report.get(pair.localCandidateId), report.get(pair.remoteCandidateId)].filter(Boolean);
  const types = ends.map((end) => end.candidateType);
  const relay = ends.find((end) => end.candidateType === "relay");
  return {
    path: relay ? "relay" : types.some((type) => type === "srflx" || type === "prflx") ? "srflx" : "host",
    protocol: relay?.relayProtocol ?? ends[0]?.protocol,
    rttMs: pair.currentRoundTripTime === undefined ? undefined : pair.currentRoundTripTime * 1000,
  };
}
