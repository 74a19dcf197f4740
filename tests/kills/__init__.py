"""Many processes on one file, killed at random; their own histories then prove that nothing was lost.

`storm` forks and kills them; `roles` says what they are, `driver`, `operations` and `flows` what they do;
`told` lets each verb of the store write into the `history` of its process. `evidence` and `ties` take the
histories apart; `rules`, `order`, `graphs` and `shares` judge them, and `verdict` sums up. `tale` and
`test_rules` show that each rule catches what it is there for. By hand:

    python -m tests.kills --kills 1000 --seed 7
    python -m tests.kills.endurance --seconds 60
"""
