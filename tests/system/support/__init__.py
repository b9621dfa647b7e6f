# Real clients, the program itself and what measures them; shared by the system tests, the demo
# and the bench. SPDX-License-Identifier: LGPL-2.1-or-later
