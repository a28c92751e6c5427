/** Every objective, by the command that offers it. A new one is a file of its own and a line here. */

import { alphapoLoss } from "./alphapo.ts";
import { aotLoss } from "./aot.ts";
import { aotUnpairedLoss } from "./aot-unpaired.ts";
import { apoDownLoss } from "./apo-down.ts";
import { apoZeroLoss } from "./apo-zero.ts";
import { bcoLoss } from "./bco.ts";
import { bcoPairLoss } from "./bco-pair.ts";
import { bradleyTerryLoss } from "./bradley-terry.ts";
import { sftLoss } from "./chosen-likelihood.ts";
import { cpoHingeLoss, cpoIpoLoss, cpoSigmoidLoss } from "./cpo.ts";
import type { MethodName, ObjectiveDefinition } from "./definition.ts";
import { discopopLoss } from "./discopop.ts";
import { sigmoidLoss } from "./dpo.ts";
import { exoPairLoss } from "./exo-pair.ts";
import { hingeLoss } from "./hinge.ts";
import { ipoLoss } from "./ipo.ts";
import { dftLoss, nllLoss } from "./likelihood.ts";
