from wv_bench.arm.command import main

main()
