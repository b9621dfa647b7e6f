# N3: what `junctor phone` sends. SPDX-License-Identifier: LGPL-2.1-or-later
"""Sound of a file, and devices that are not there."""
from support.phonelab import BOB, TONES, PhoneLab
from support.tones import longest_with_tone, read_wav, write_wav

_TONE = 700  # Hz: of no test source's


class N3_Media(PhoneLab):
    def call(self, *media):
        """Alice calls bob, who sends a tone."""
        self.serve()
        sites = [self.lab.site(name, "restricted") for name in ("left", "right")]
        bob = self.phone("bob", sites[1], "--video", "off", "--audio", f"test:{TONES[BOB]}")
        bob.wait("nat")
        return self.phone("alice", sites[0], "--call", "bob", *media), bob

    def test_the_sound_of_a_file_is_heard_by_the_other(self):
        file = self.workspace.file("tone.wav")
        write_wav(file, _TONE, 4)
        alice, bob = self.call("--video", "off", "--audio", file)
        alice.wait("channel", state="up")
        # What it sends has an end, the call has not.
        alice.wait("sent")
        self.assertEqual(bob.events("ended"), [])
        alice.hang_up()
        self.assertEqual(alice.ended(), 0)
        bob.wait("ended")
        samples, rate = read_wav(bob.sound)
        self.assertGreater(longest_with_tone(samples, rate, _TONE), 2)
        self.assertEqual(longest_with_tone(samples, rate, TONES[BOB]), 0)
        self.heard(alice, BOB)

    def test_a_camera_that_is_not_there_is_named(self):
        alice, bob = self.call("--video", "/dev/video99", "--audio", "off")
        self.assertEqual(alice.ended(), 1)
        ended = alice.events("ended")[0]
        self.assertEqual(ended["reason"], "internal")
        self.assertRegex(ended["detail"], "--video /dev/video99: .*'/dev/video99'")
        self.assertEqual(bob.events("answered"), [])
