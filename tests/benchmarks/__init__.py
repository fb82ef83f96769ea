"""The bot's speed, measured beside baselines: `python -m tests.benchmarks [name…]`, or `make bench`.

A number alone says more about the machine than about the bot, so every figure stands beside that of a simpler program
measured in the same run, their rounds taking turns so that whatever else the machine does strikes both. What is told is
the median of the rounds and the ratio.

pytest collects nothing here but `test_smoke.py`, which runs each benchmark on a handful of items and asserts no time.
"""
