"""Make samples/bunny.mp4 from a Big Buck Bunny clip: the picture is cut and reduced, the sound and
the subtitle are our own. Run once: `python samples/make_sample.py PATH_TO_CLIP`."""

import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.video.frame
import numpy as np

FIRST_FRAME, FRAMES = 30, 60
SIZE = (320, 180)
SOUND_RATE = 48_000
SUBTITLES = ((0.2, 1.1, "Every frame at its time,"), (1.2, 2.3, "every word in its place."))


def picture(clip: Path) -> Iterator[av.VideoFrame]:
    """The clip's frames, 320x180, timed from zero."""
    with av.open(str(clip)) as source:
        for number, frame in enumerate(source.decode(video=0)):
            if FIRST_FRAME <= number < FIRST_FRAME + FRAMES:
                small = frame.reformat(*SIZE, format="yuv420p", interpolation="AREA")
                small.pts, small.time_base = number - FIRST_FRAME, Fraction(1, 25)
                small.pict_type = av.video.frame.PictureType.NONE
                yield small


def sound(seconds: float) -> av.AudioFrame:
    """A soft rising fifth, stereo, float32 in -1..1, shape (2, samples)."""
    t = np.arange(int(seconds * SOUND_RATE)) / SOUND_RATE
    fade = np.minimum(1, np.minimum(t, seconds - t) / 0.15)
    left = 0.2 * fade * np.sin(2 * np.pi * (220 + 40 * t) * t)
    right = 0.2 * fade * np.sin(2 * np.pi * (330 + 60 * t) * t)
    frame = av.AudioFrame.from_ndarray(np.stack([left, right]).astype(np.float32), "fltp", "stereo")
    frame.sample_rate = SOUND_RATE
    return frame


def main(clip: Path, target: Path) -> None:
    with av.open(str(target), "w", options={"movflags": "+faststart"}) as out:
        video = out.add_stream("libx264", rate=25, options={"crf": "16", "preset": "slow"})
        video.width, video.height = SIZE
        video.pix_fmt = "yuv420p"
        audio = out.add_stream("aac", rate=SOUND_RATE, layout="stereo")
        audio.bit_rate = 96_000
        audio.metadata["language"] = "zxx"
        words = out.add_stream("mov_text")
        words.codec_context.subtitle_header = b"[Script Info]\n"
        words.metadata["language"] = "eng"
        out.metadata["title"] = "Big Buck Bunny, 60 frames"
        out.metadata["copyright"] = (
            "(c) 2008 Blender Foundation, CC BY 3.0; sound and text: Superres"
        )
        for frame in picture(clip):
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        out.mux(audio.encode(sound(FRAMES / 25)))
        out.mux(audio.encode(None))
        for start, end, text in SUBTITLES:
            payload = text.encode()
            packet = av.Packet(len(payload).to_bytes(2, "big") + payload)
            packet.stream, packet.time_base = words, Fraction(1, 1000)
            packet.pts = packet.dts = round(start * 1000)
            packet.duration = round((end - start) * 1000)
            out.mux(packet)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(__file__).with_name("bunny.mp4"))
